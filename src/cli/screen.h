/* SPDX-License-Identifier: Apache-2.0 */
/* A terminal that is drawn anew each time, and keys without Enter. What was on the terminal before comes back at the end. */
#pragma once
#include <stdbool.h>
#include "base/slice.h"

/* False: standard output or input is no terminal, or a dumb one; nothing has changed. */
bool screen_open(void);
/* Draws from the top; what is longer than the terminal is cut. */
void screen_draw(struct slice text);
/* Was a key pressed that ends it: q, Q, Escape, Control-C? Reads what waits on standard input. */
bool screen_key(void);
bool screen_is_open(void);
/* Harmless when it is not open. */
void screen_close(void);
