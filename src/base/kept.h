/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the system that are read again and again, and replaced by rename(2) meanwhile (/etc/passwd, /etc/group). A process that has locked itself in (room
 * sandbox) cannot open what was put in their place: it gets what was there when it did, and is told so. One thread, the control thread. */
#pragma once
#include <stdbool.h>
#include <stdio.h>

enum { KEPT_MAX = 4 };

/* Before locking in. A file that is not there is not kept. */
void kept_file(const char *path);
/* For reading, from its beginning; the caller closes it. NULL: it cannot be read, errno says why. *ret_old (may be NULL): it is not what stands there now, but
 * what stood there at kept_file. */
FILE *kept_open(const char *path, bool *ret_old);
