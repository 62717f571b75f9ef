/* The subcommands of ticketctl, and what their exit codes mean.
 *
 * A command gets its own argv: argv[0] is its name, the rest its options. It returns the exit code
 * of the process. */
#ifndef TICKETLAB_COMMANDS_H
#define TICKETLAB_COMMANDS_H

enum exit_code {
    CTL_OK = 0,
    CTL_FAILED = 1,     /* it could not be done; or: nothing is running */
    CTL_USAGE = 2,      /* the command line is wrong */
    CTL_NOT_READY = 3,  /* running, but not ready */
    CTL_DIFFERENT = 4,  /* verify: something does not agree */
    CTL_THRESHOLD = 99, /* load: a threshold was broken */
};

int up_command(int argc, char **argv);
int down_command(int argc, char **argv);
int status_command(int argc, char **argv);
int verify_command(int argc, char **argv);
int doctor_command(int argc, char **argv);
int stat_command(int argc, char **argv);
int performance_command(int argc, char **argv);
int load_command(int argc, char **argv);
int chaos_command(int argc, char **argv);
int completion_command(int argc, char **argv);

/* Not for people: `up` starts the launcher, and the launcher starts prepare. */
int launcher_command(int argc, char **argv);
int prepare_command(int argc, char **argv);

#endif
