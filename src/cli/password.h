/* SPDX-License-Identifier: Apache-2.0 */
/* A password for the daemon: asked for at the terminal (twice, without echo) or read from a file, and turned into its hash. */
#pragma once
#include "admin/command.h"

/* Puts the hash into l->args where the command wants a password. Else an enum admin_exit, and `why` has one line. */
int password_take(struct admin_line *l, struct buf *why);
