/* The configuration of an engine for developers: DIR/engine.cfg. */
#ifndef TICKETLAB_SETTINGS_H
#define TICKETLAB_SETTINGS_H

#include "tools/ticketctl/up_options.h"

#include "actors/runtime/config.h"

#include <stddef.h>

/* Take a block of ports on loopback for one engine, and hold it as long as the returned descriptor
 * is open anywhere: engines that start at the same time never choose the same. -1 if there is none.
 *
 * The ports lie below the kernel's range for outgoing connections, so that none of these takes the
 * port of a process that is being started again. */
int settings_hold_ports(void);

/* A port of the block that is free and was not given before; 0 if there is none left. */
int settings_free_port(void);

/* Whether host:port can be listened at. */
bool settings_port_free(const char *listen);

/* What the engine in this directory needs: everything private under it, endpoints on free ports,
 * new secrets, or those of its earlier life (as is what its database was made with). Then the
 * environment, then the command line. 0, or -1 and a sentence. */
int settings_make(struct config *ret_config, const char *directory,
                  const struct up_options *options, char *error, size_t error_size);

/* DIR/engine.cfg, readable by its owner alone. 0, or -1. */
int settings_write(const struct config *config, const char *directory);
int settings_read(struct config *ret_config, const char *directory, char *error, size_t error_size);

#endif
