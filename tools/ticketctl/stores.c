#include "tools/ticketctl/stores.h"

#include "tools/ticketctl/engine_dir.h"
#include "tools/ticketctl/programs.h"

#include "actors/runtime/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORDS_MAX = 12 };

/* Write a file for its owner alone, in one step. */
__attribute__((format(printf, 3, 4))) static int write_file(const char *directory, const char *file,
                                                            const char *format, ...) {
    char path[ENGINE_PATH_SIZE], temporary[ENGINE_PATH_SIZE + 8];
    engine_path(directory, file, path);
    snprintf(temporary, sizeof temporary, "%s.new", path);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return -1;
    va_list arguments;
    va_start(arguments, format);
    int written = vdprintf(fd, format, arguments);
    va_end(arguments);
    if (close(fd) != 0 || written < 0) return -1;
    return rename(temporary, path);
}

/* ---- Redis ----------------------------------------------------------------------------------- */

int stores_redis(const char *directory, char *error, size_t error_size) {
    char data[ENGINE_PATH_SIZE];
    engine_path(directory, "redis", data);
    if ((mkdir(data, 0700) == 0 || errno == EEXIST) && write_file(directory, "redis.conf",
                                                                  "port 0\n"
                                                                  "unixsocket \"%s/redis.sock\"\n"
                                                                  "unixsocketperm 700\n"
                                                                  "dir \"%s/redis\"\n"
                                                                  "daemonize no\n"
                                                                  "set-proc-title no\n"
                                                                  "appendonly yes\n"
                                                                  "appendfsync everysec\n"
                                                                  "save \"\"\n"
                                                                  "maxmemory-policy noeviction\n",
                                                                  directory, directory) == 0) {
        return 0;
    }
    snprintf(error, error_size, "redis: its files cannot be written: %s", strerror(errno));
    return -1;
}

/* ---- the database ---------------------------------------------------------------------------- */

/* A small server that forgets nothing: what it acknowledged is on disk. `loose_` goes before what
 * only one of MariaDB and MySQL knows. */
static int write_mysql_options(const char *directory, const char *mysqld, bool is_mariadb) {
    char messages[PROGRAM_SIZE + 64] = "";
    if (!is_mariadb) {
        char home[PROGRAM_SIZE];
        snprintf(home, sizeof home, "%s", mysqld);
        for (int up = 0; up < 2; up++) {
            char *slash = strrchr(home, '/');
            if (slash != NULL) *slash = '\0';
        }
        char share[PROGRAM_SIZE + 16];
        snprintf(share, sizeof share, "%s/share", home);
        if (access(share, R_OK) == 0) {
            snprintf(messages, sizeof messages, "lc_messages_dir=%s\n", share);
        }
    }
    return write_file(directory, "mysql.cnf",
                      "[mysqld]\n"
                      "%s%s"
                      "datadir=%s/mysql\n"
                      "socket=%s/mysql.sock\n"
                      "pid_file=%s/mysql.pid\n"
                      "skip_networking\n"
                      "skip_name_resolve\n"
                      "skip_log_bin\n"
                      "character_set_server=utf8mb4\n"
                      "innodb_flush_log_at_trx_commit=1\n"
                      "innodb_buffer_pool_size=64M\n"
                      "loose_innodb_log_file_size=32M\n"
                      "loose_log_warnings=1\n"
                      "loose_performance_schema=OFF\n"
                      "loose_mysqlx=OFF\n",
                      geteuid() == 0 ? "user=root\n" : "", messages, directory, directory,
                      directory);
}

static int write_mysql_accounts(const char *directory, const struct config *config) {
    const char *user = config->mysql_user;
    const char *password = config->mysql_password;
    return write_file(directory, "mysql-accounts.sql",
                      "CREATE USER IF NOT EXISTS '%s'@'localhost' IDENTIFIED BY '%s';\n"
                      "ALTER USER '%s'@'localhost' IDENTIFIED BY '%s';\n"
                      "GRANT ALL ON `%s`.* TO '%s'@'localhost';\n",
                      user, password, user, password, config->mysql_database, user);
}

/* Run to the end, everything it says to a log. */
static int run(char *const *words, const char *log) {
    pid_t pid = fork();
    if (pid == 0) {
        int out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (out >= 0) {
            dup2(out, STDOUT_FILENO);
            dup2(out, STDERR_FILENO);
        }
        execv(words[0], words);
        _exit(127);
    }
    int status = -1;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return pid > 0 && status == 0 ? 0 : -1;
}

/* A directory half made by a crash is never taken for one: it gets its name when it is complete. */
static int make_data(const char *directory, const char *mysqld, bool is_mariadb, char *error,
                     size_t error_size) {
    char data[ENGINE_PATH_SIZE], fresh[ENGINE_PATH_SIZE], log[ENGINE_PATH_SIZE];
    engine_path(directory, "mysql", data);
    engine_path(directory, "mysql.new", fresh);
    engine_path(directory, "logs/mysql-install.log", log);
    if (access(data, F_OK) == 0) return 0;
    char *remove_words[] = {"/bin/rm", "-rf", fresh, NULL};
    if (access(fresh, F_OK) == 0) run(remove_words, log);

    char program[PROGRAM_SIZE], defaults[ENGINE_PATH_SIZE + 32], datadir[ENGINE_PATH_SIZE + 32];
    char *words[WORDS_MAX] = {program, defaults, datadir};
    snprintf(defaults, sizeof defaults, "--defaults-file=%s/mysql.cnf", directory);
    snprintf(datadir, sizeof datadir, "--datadir=%s", fresh);
    if (is_mariadb) {
        words[3] = "--skip-test-db";
        words[4] = "--auth-root-authentication-method=socket";
        if (geteuid() == 0) words[5] = "--user=root";
        if (!program_find("mariadb-install-db", program)) {
            snprintf(error, error_size, "mysql: mariadb-install-db is not installed");
            return -1;
        }
    } else {
        words[3] = "--initialize-insecure";
        snprintf(program, sizeof program, "%s", mysqld);
    }
    if (run(words, log) == 0 && rename(fresh, data) == 0) return 0;
    snprintf(error, error_size, "mysql: a new database cannot be made; see %s", log);
    return -1;
}

int stores_mysql(const char *directory, const char *mysqld, const struct config *config,
                 char *error, size_t error_size) {
    char version[256];
    if (!program_says(mysqld, "--version", version, sizeof version)) {
        snprintf(error, error_size, "mysql: %s --version does not work: %.150s", mysqld, version);
        return -1;
    }
    bool is_mariadb = strstr(version, "MariaDB") != NULL;
    if (strpbrk(config->mysql_user, "'\\") != NULL ||
        strpbrk(config->mysql_password, "'\\\n") != NULL ||
        strchr(config->mysql_database, '`') != NULL) {
        snprintf(error, error_size, "mysql.user, mysql.password: no quotes or backslashes, please");
        return -1;
    }
    if (write_mysql_options(directory, mysqld, is_mariadb) != 0 ||
        write_mysql_accounts(directory, config) != 0) {
        snprintf(error, error_size, "mysql: its files cannot be written: %s", strerror(errno));
        return -1;
    }
    return make_data(directory, mysqld, is_mariadb, error, error_size);
}
