/* Assertions that stay on in release: one fact each, never about outside input. */
#ifndef TICKETLAB_REQUIRE_H
#define TICKETLAB_REQUIRE_H

/* Prints the fact and where it stands, and aborts. */
_Noreturn void require_failed(const char *fact, const char *file, int line);

#define require(fact) ((fact) ? (void)0 : require_failed(#fact, __FILE__, __LINE__))

#endif
