/* SPDX-License-Identifier: Apache-2.0 */
/* Listening on a unix socket (unix(7)). */
#pragma once
#include "base/err.h"

/* A listening stream socket (kept.h) at `path`, mode 0660, close-on-exec, not blocking: the descriptor, the caller's, or a negative error with
 * err. `setting` names in err where the path comes from. A file that nobody answers on is taken away first (left behind by a process
 * that was killed); when somebody does: ENTENTE_EEXIST. ENTENTE_EIO: the path is too long, or the system says no. Changes the process's
 * umask for a moment. */
int unix_listen(const char *path, const char *setting, struct entente_err *err);
/* Closes it; the file goes too, unless the socket outlives us (kept.h). */
void unix_close(int fd, const char *path);
