/* The commands of ticketctl: each gets its own arguments, argv[0] being its name, and returns the exit status. */
#ifndef TICKETLAB_COMMANDS_H
#define TICKETLAB_COMMANDS_H

int load_command(int argc, char **argv);

#endif
