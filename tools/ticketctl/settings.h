/* The configuration of an engine for developers: DIR/engine.cfg. */
#ifndef TICKETLAB_SETTINGS_H
#define TICKETLAB_SETTINGS_H

#include "tools/ticketctl/up_options.h"

#include "actors/runtime/config.h"

#include <stddef.h>

/* Ports on loopback that were free when they were chosen. They lie below the kernel's range for
 * outgoing connections, so that none of these takes the port of a process that is being started
 * again. */
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
