#include "tools/ticketctl/engine_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char lock_file[] = "launcher.pid";

/* ---- the directory --------------------------------------------------------------------------- */

int engine_dir_absolute(const char *given, char out[ENGINE_DIR_SIZE], char *error,
                        size_t error_size) {
    char here[4096] = "";
    if (given[0] != '/' && getcwd(here, sizeof here) == NULL) {
        snprintf(error, error_size, "the current directory has no name: %s", strerror(errno));
        return -1;
    }
    char full[8192];
    int size = snprintf(full, sizeof full, "%s%s%s", here, here[0] != '\0' ? "/" : "", given);
    while (size > 1 && size < (int)sizeof full && full[size - 1] == '/') full[--size] = '\0';
    if (size > ENGINE_DIR_MAX) {
        snprintf(error, error_size,
                 "the directory's name is too long for the sockets in it: %d bytes, at most %d: "
                 "%.200s; choose a shorter one, for example --dir /tmp/ticketlab",
                 size, ENGINE_DIR_MAX, full);
        return -1;
    }
    if (strpbrk(full, "\"'\\\n%") != NULL) {
        snprintf(error, error_size, "the directory's name has a quote, %% or a backslash: %s",
                 full);
        return -1;
    }
    memcpy(out, full, (size_t)size + 1);
    return 0;
}

static int make_all(const char *directory) {
    char path[ENGINE_DIR_SIZE];
    snprintf(path, sizeof path, "%s", directory);
    for (char *at = path + 1; *at != '\0'; at++) {
        if (*at != '/') continue;
        *at = '\0';
        if (mkdir(path, 0755) != 0 && errno != EEXIST) return -1;
        *at = '/';
    }
    return mkdir(path, 0700) != 0 && errno != EEXIST ? -1 : 0;
}

int engine_dir_make(const char *directory, char *error, size_t error_size) {
    struct stat facts;
    if (make_all(directory) != 0 || stat(directory, &facts) != 0) {
        snprintf(error, error_size, "%s cannot be made: %s", directory, strerror(errno));
        return -1;
    }
    if (!S_ISDIR(facts.st_mode)) {
        snprintf(error, error_size, "%s is not a directory", directory);
        return -1;
    }
    if (facts.st_uid != geteuid() || (facts.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        snprintf(error, error_size, "%s is another's, or others may write into it", directory);
        return -1;
    }
    char logs[ENGINE_PATH_SIZE];
    engine_path(directory, "logs", logs);
    if (mkdir(logs, 0700) != 0 && errno != EEXIST) {
        snprintf(error, error_size, "%s cannot be made: %s", logs, strerror(errno));
        return -1;
    }
    return 0;
}

void engine_path(const char *directory, const char *file, char out[ENGINE_PATH_SIZE]) {
    snprintf(out, ENGINE_PATH_SIZE, "%s/%s", directory, file);
}

/* ---- who runs there -------------------------------------------------------------------------- */

static pid_t read_pid(int lock) {
    char text[32] = "";
    if (pread(lock, text, sizeof text - 1, 0) <= 0) return -1;
    long pid = strtol(text, NULL, 10);
    return pid > 1 ? (pid_t)pid : -1;
}

/* The file that is locked must still be the one with the name: who ran before may have removed it
 * in between. */
static bool is_named(int lock, const char *path) {
    struct stat ours, named;
    return fstat(lock, &ours) == 0 && stat(path, &named) == 0 && ours.st_ino == named.st_ino &&
           ours.st_dev == named.st_dev;
}

int engine_lock_name(int lock, pid_t pid) {
    char text[32];
    int size = snprintf(text, sizeof text, "%ld\n", (long)pid);
    if (ftruncate(lock, 0) != 0) return -1;
    return pwrite(lock, text, (size_t)size, 0) == size ? 0 : -1;
}

int engine_lock(const char *directory, char *error, size_t error_size) {
    char path[ENGINE_PATH_SIZE];
    engine_path(directory, lock_file, path);
    for (;;) {
        int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (lock < 0) {
            snprintf(error, error_size, "%s cannot be written: %s", path, strerror(errno));
            return -1;
        }
        if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
            snprintf(error, error_size,
                     "an engine runs in %s already (launcher %ld); stop it with: ticketctl down "
                     "--dir %s",
                     directory, (long)read_pid(lock), directory);
            close(lock);
            return -1;
        }
        if (is_named(lock, path) && engine_lock_name(lock, getpid()) == 0) return lock;
        close(lock);
    }
}

static void remove_traces(const char *directory) {
    char path[ENGINE_PATH_SIZE];
    engine_path(directory, "status.json", path);
    unlink(path);
    engine_path(directory, lock_file, path);
    unlink(path);
}

void engine_unlock(const char *directory, int lock) {
    remove_traces(directory);
    close(lock);
}

pid_t engine_launcher(const char *directory) {
    char path[ENGINE_PATH_SIZE];
    engine_path(directory, lock_file, path);
    int lock = open(path, O_RDWR | O_CLOEXEC);
    if (lock < 0) return 0;
    pid_t pid = 0;
    if (flock(lock, LOCK_EX | LOCK_NB) == 0) {
        if (is_named(lock, path)) remove_traces(directory);
    } else {
        pid = read_pid(lock);
        if (pid > 0 && !engine_owns(pid, directory, "launcher")) pid = -1;
    }
    close(lock);
    return pid;
}

bool engine_owns(pid_t pid, const char *directory, const char *word) {
    char path[64], arguments[4096];
    snprintf(path, sizeof path, "/proc/%ld/cmdline", (long)pid);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    ssize_t size = read(file, arguments, sizeof arguments - 1);
    close(file);
    if (size <= 0) return false;
    arguments[size] = '\0';
    bool has_directory = false;
    bool has_word = word == NULL;
    for (const char *at = arguments; at < arguments + size; at += strlen(at) + 1) {
        if (strstr(at, directory) != NULL) has_directory = true;
        if (word != NULL && strcmp(at, word) == 0) has_word = true;
    }
    return has_directory && has_word;
}

/* ---- state files ----------------------------------------------------------------------------- */

int engine_write(const char *directory, const char *file, const json_t *state) {
    char path[ENGINE_PATH_SIZE], temporary[ENGINE_PATH_SIZE + 32];
    engine_path(directory, file, path);
    snprintf(temporary, sizeof temporary, "%s.%ld", path, (long)getpid());
    if (json_dump_file(state, temporary, JSON_INDENT(1)) == 0 && rename(temporary, path) == 0) {
        return 0;
    }
    unlink(temporary);
    return -1;
}

json_t *engine_read(const char *directory, const char *file) {
    char path[ENGINE_PATH_SIZE];
    engine_path(directory, file, path);
    return json_load_file(path, 0, NULL);
}
