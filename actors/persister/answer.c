#include "actors/persister/answer.h"

void answer_message(const struct answer *answer, struct message *ret_message) {
    if (answer->type == MESSAGE_ERROR) {
        message_error(ret_message, &answer->request_id, answer->error);
        ret_message->key = answer->shard;
        return;
    }
    message_init(ret_message, (enum message_type)answer->type);
    ret_message->request_id = answer->request_id;
    ret_message->key = answer->shard;
    switch (answer->type) {
    case MESSAGE_STORED: ret_message->stored = answer->stored; return;
    case MESSAGE_CLAIMED: ret_message->claimed = answer->claimed; return;
    case MESSAGE_PERFORMANCE_ROW: ret_message->performance_row = answer->performance_row; return;
    case MESSAGE_STORED_SEAT_ROW: ret_message->stored_seat_row = answer->stored_seat_row; return;
    case MESSAGE_RESERVATION_ROW: ret_message->reservation_row = answer->reservation_row; return;
    case MESSAGE_REQUEST_ROW: ret_message->request_row = answer->request_row; return;
    case MESSAGE_WAITING_ROW: ret_message->waiting_row = answer->waiting_row; return;
    case MESSAGE_GRANT_ROW: ret_message->grant_row = answer->grant_row; return;
    default: require(answer->type == MESSAGE_STORED); /* no other is ever made */
    }
}
