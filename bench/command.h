/* SPDX-License-Identifier: Apache-2.0 */
/* What bench.py tells a generator to do: one word per line on standard input, answered by one JSON object per line. */
#pragma once
#include "net/loop.h"
#include "net/tls.h"

/* `fn` is called with each line, and with "quit" when the input ends. Lives as long as the process. */
void command_listen(struct loop *l, void (*fn)(void *arg, struct slice line), void *arg);

/* Options of the generators. All end the process with status 2 when the text is wrong. */
uint64_t option_number(const char *text, uint64_t min, uint64_t max);
struct addr option_address(const char *text, uint16_t port);
/* certs/NAME.pem and certs/NAME.key, trusting the lab's authority; the caller's reference. */
struct tls_ctx *option_identity(const char *certs, const char *name);
