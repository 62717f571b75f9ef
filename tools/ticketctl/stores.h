/* The private stores of an engine: their files, before their servers start. */
#ifndef TICKETLAB_STORES_H
#define TICKETLAB_STORES_H

#include <stddef.h>

struct config;

/* DIR/redis.conf and DIR/redis/. 0, or -1 and a sentence. */
int stores_redis(const char *directory, char *error, size_t error_size);

/* DIR/mysql.cnf, DIR/mysql-accounts.sql, and a new DIR/mysql/ if there is none. `mysqld` is
 * MariaDB's or MySQL 8's server. 0, or -1 and a sentence. */
int stores_mysql(const char *directory, const char *mysqld, const struct config *config,
                 char *error, size_t error_size);

#endif
