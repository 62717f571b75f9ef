/* A row of the database as the answer that a claimant is sent.
 *
 * Pure. The columns are those of sql_part(), as text. */
#ifndef TICKETLAB_CLAIM_ROWS_H
#define TICKETLAB_CLAIM_ROWS_H

#include "actors/persister/answer.h"
#include "actors/persister/store_sql.h"

/* Fill type and body of `ret_answer`. False if the row is not as the schema promises: too few
 * columns, a NULL, no number, too many seats. */
bool claim_row(enum claim_part part, unsigned count, const char *const *columns,
               struct answer *ret_answer);

#endif
