/* One line a fact, to standard error: time, level, process, text. Who runs the process keeps the
 * lines. */
#ifndef TICKETLAB_LOG_H
#define TICKETLAB_LOG_H

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

/* Name the process and set the lowest level that is written ("debug", "info", "warning", "error").
 * Returns 0, or -1 for a level that is none of these. */
int log_open(const char *process_name, const char *level);

__attribute__((format(printf, 2, 3))) void log_write(enum log_level level, const char *format, ...);

#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)
#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)

#endif
