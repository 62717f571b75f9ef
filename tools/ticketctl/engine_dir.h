/* The directory of one engine: its lock, its launcher, its state files.
 *
 * launcher.pid is locked (flock) for as long as the engine runs: first by `up`, then, by the same
 * descriptor, by the launcher. So a file that is left behind by a crash is known by its missing
 * lock, and no process is ever taken for the launcher because of its number alone.
 *
 *     engine.cfg    the configuration of all processes (ZPL); the secrets in it outlive the engine
 *     plan.json     what the launcher starts, written by `up`
 *     status.json   what runs now, written by the launcher, absent otherwise
 *     logs/         a log per process */
#ifndef TICKETLAB_ENGINE_DIR_H
#define TICKETLAB_ENGINE_DIR_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* A unix socket's path has at most 107 bytes; the longest name in the directory has 11. */
enum { ENGINE_DIR_MAX = 95, ENGINE_DIR_SIZE = ENGINE_DIR_MAX + 1, ENGINE_PATH_SIZE = 192 };

/* The absolute form of a directory's name. 0, or -1 and a sentence in `error` if it is too long. */
int engine_dir_absolute(const char *given, char out[ENGINE_DIR_SIZE], char *error,
                        size_t error_size);

/* Make it, for its owner alone. 0, or -1 and a sentence: it cannot be made, or others may write
 * into it. */
int engine_dir_make(const char *directory, char *error, size_t error_size);

/* DIR/file; `file` is a constant of this program or the name of a process. */
void engine_path(const char *directory, const char *file, char out[ENGINE_PATH_SIZE]);

/* Take the lock and write our own pid beside it. Returns a descriptor, or -1 and a sentence: an
 * engine runs there. */
int engine_lock(const char *directory, char *error, size_t error_size);

/* Write the pid of who holds the lock. */
int engine_lock_name(int lock, pid_t pid);

/* Give it up: remove what is only there while an engine runs. */
void engine_unlock(const char *directory, int lock);

/* The launcher of the engine that runs there. 0: none does (what it left is removed); -1: one is
 * just being started. */
pid_t engine_launcher(const char *directory);

/* True if the process has both words in its arguments; `word` NULL: any. */
bool engine_owns(pid_t pid, const char *directory, const char *word);

/* Replace a state file in one step. 0, or -1. */
int engine_write(const char *directory, const char *file, const json_t *state);

/* NULL if it is not there. */
json_t *engine_read(const char *directory, const char *file);

#endif
