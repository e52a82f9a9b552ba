/* SPDX-License-Identifier: Apache-2.0 */
/* One request to the daemon over its control socket. */
#pragma once
#include <jansson.h>
#include "base/buf.h"

/* Sends the request and waits for its response (the caller's). NULL: `why` has one line and *ret_exit an enum admin_exit. */
json_t *client_ask(const char *path, json_t *request, struct buf *why, int *ret_exit);
