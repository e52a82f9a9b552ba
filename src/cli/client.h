/* SPDX-License-Identifier: Apache-2.0 */
/* One request to the daemon over its control socket. */
#pragma once
#include <jansson.h>
#include "base/buf.h"

/* Sends the request and waits for its response (the caller's). NULL: `why` has one line and *ret_exit an enum admin_exit.
 * on_line: gets each line before the response of a command that takes time; NULL: there are none. wait_ms: for the next line; 0: for
 * ever. While a screen is open (cli/screen.h) its keys end it: NULL, *ret_exit 0, `why` empty. */
json_t *client_ask(const char *path, json_t *request, uint64_t wait_ms, void (*on_line)(void *arg, json_t *line), void *arg,
		   struct buf *why, int *ret_exit);
