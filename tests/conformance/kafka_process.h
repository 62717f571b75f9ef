/* A broker as a process: a real Kafka by tools/run-kafka, or kafka-mock. It ends with us, however
 * we end. */
#ifndef TICKETLAB_CONFORMANCE_KAFKA_PROCESS_H
#define TICKETLAB_CONFORMANCE_KAFKA_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct kafka_process;

/* What it keeps is in `directory`, which outlives this. Run in the project's own directory. */
struct kafka_process *kafka_process_new(bool is_mock, const char *directory);
void kafka_process_destroy(struct kafka_process **process);

/* Returns when it takes connections; exits with a sentence if it does not come to that. A real one
 * is at the same port each time. */
void kafka_process_start(struct kafka_process *process);
void kafka_process_kill(struct kafka_process *process); /* as kill -9 does */
uint16_t kafka_process_port(const struct kafka_process *process);

/* Start a program that dies with us; what it says is added to `log`. */
pid_t process_spawn(const char *log, char *const *argv);

/* Kill it, and wait for its end. */
void process_kill(pid_t pid);

#endif
