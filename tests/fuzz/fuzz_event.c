/* Records of the log as they come from Kafka, by anybody who can write to its topic: taken only if
 * they are events, and what is written to people because of them is a mail with a whole head, and
 * JSON. */
#include "actors/notifier/letter.h"
#include "actors/notifier/seen.h"
#include "tests/fuzz/fuzz.h"

#include <jansson.h>
#include <string.h>

enum { LINE_MAX_SIZE = 78 }; /* RFC 5322, 2.1.1: what a line should not exceed */

/* Every line ends with CRLF, is short and of printable ASCII; and the head ends once. */
static void check_mail(const char *mail, size_t size) {
    check(strlen(mail) == size && strstr(mail, "\r\n\r\n") != NULL);
    unsigned fields = 0;
    bool in_head = true;
    for (const char *line = mail; *line != 0;) {
        size_t length = strcspn(line, "\r");
        check(line[length] == '\r' && line[length + 1] == '\n' && length <= LINE_MAX_SIZE);
        for (size_t i = 0; i < length; i++) check(line[i] >= ' ' && line[i] <= '~');
        in_head = in_head && length > 0;
        fields += in_head && line[0] != ' ';
        line += length + 2;
    }
    check(fields == 8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char mail[LETTER_MAX], sms[SMS_MAX];
    struct notice notice;
    char error[160] = "", to[ADDRESS_MAX];
    if (notice_parse(data, size, &notice, error, sizeof error) != 0) {
        check(error[0] != 0);
        return 0;
    }
    check(notice.seq > 0 && notice.shard < SEEN_SHARDS_MAX);
    check(letter_address("user-%llu@example.org", notice.user_id, to) == 0);
    size_t mail_size = letter_mail(&notice, "tickets@example.org", to, mail);
    size_t sms_size = letter_sms(&notice, sms);
    check((mail_size > 0) == (notice.kind != NOTICE_OTHER) && (sms_size > 0) == (mail_size > 0));
    if (mail_size == 0) return 0;
    check_mail(mail, mail_size);
    json_t *json = json_loadb(sms, sms_size, 0, NULL);
    check(json_is_object(json) && json_object_size(json) == 4);
    json_decref(json);
    return 0;
}
