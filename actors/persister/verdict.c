#include "actors/persister/verdict.h"

#include "actors/runtime/require.h"

/* Numbers below 2000 and from 3000 on are the server's own; 30001 to 30004 our procedures'. What is
 * not listed left nothing committed and says nothing about a row: REFUSED. */
enum verdict verdict_of(unsigned error, bool lost) {
    if (lost) return VERDICT_UNKNOWN;
    switch (error) {
    case 0: return VERDICT_OK;
    case 30001: return VERDICT_DUP;
    case 30002: return VERDICT_GAP;
    case 30003: return VERDICT_FENCED;
    case 30004:
    case 1022: /* duplicate key */
    case 1048: /* a column that cannot be NULL */
    case 1062: /* duplicate entry */
    case 1169: /* unique constraint */
    case 1216: /* foreign key */
    case 1217:
    case 1264: /* out of range */
    case 1265: /* truncated */
    case 1292: /* wrong value */
    case 1366: /* wrong value for the column */
    case 1406: /* too long */
    case 1451: /* foreign key */
    case 1452:
    case 1586: /* duplicate entry, with the key's name */
    case 1690: /* a number out of range in an expression */
    case 3819: /* check constraint (MySQL) */
    case 4025: /* check constraint (MariaDB) */ return VERDICT_CONFLICT;
    case 1020: /* record has changed since the last read */
    case 1205: /* lock wait */
    case 1213: /* deadlock */ return VERDICT_AGAIN;
    case 1180: /* error during COMMIT */ return VERDICT_UNKNOWN;
    default: return VERDICT_REFUSED;
    }
}

enum verdict verdict_of_head(uint64_t epoch, uint64_t first_seq, uint32_t count,
                             uint64_t head_epoch, uint64_t head_seq) {
    uint64_t last_seq = first_seq + count - 1;
    if (head_epoch == 0) return VERDICT_REFUSED;
    if (head_epoch != epoch) return VERDICT_FENCED;
    if (count == 0) return head_seq == last_seq ? VERDICT_OK : VERDICT_GAP;
    return head_seq >= last_seq ? VERDICT_DUP : VERDICT_REFUSED;
}

static enum attempt_next answer(enum store_outcome outcome, enum store_outcome *ret_outcome) {
    *ret_outcome = outcome;
    return ATTEMPT_ANSWER;
}

enum attempt_next attempt_unreachable(const struct attempts *attempts,
                                      enum store_outcome *ret_outcome) {
    return attempts->unknown ? ATTEMPT_SILENCE : answer(STORE_REFUSED, ret_outcome);
}

enum attempt_next attempt_ran(struct attempts *attempts, enum verdict verdict,
                              enum store_outcome *ret_outcome) {
    switch (verdict) {
    case VERDICT_OK: return answer(STORE_OK, ret_outcome);
    case VERDICT_DUP: return answer(STORE_DUP, ret_outcome);
    case VERDICT_GAP: return answer(STORE_GAP, ret_outcome);
    case VERDICT_FENCED: return answer(STORE_FENCED, ret_outcome);
    case VERDICT_CONFLICT: return answer(STORE_CONFLICT, ret_outcome);
    case VERDICT_REFUSED: return attempt_unreachable(attempts, ret_outcome);
    case VERDICT_AGAIN:
        if (attempts->again == ATTEMPTS_AGAIN_MAX)
            return attempt_unreachable(attempts, ret_outcome);
        attempts->again += 1;
        return ATTEMPT_RUN;
    case VERDICT_UNKNOWN:
        attempts->unknown = true;
        if (attempts->lost == ATTEMPTS_LOST_MAX) return ATTEMPT_SILENCE;
        attempts->lost += 1;
        return ATTEMPT_CONNECT;
    }
    require(verdict <= VERDICT_UNKNOWN);
    return ATTEMPT_SILENCE;
}
