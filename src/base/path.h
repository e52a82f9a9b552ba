/* SPDX-License-Identifier: Apache-2.0 */
/* What a path says by its name alone. Any thread; nothing is looked up. */
#pragma once
#include <stdbool.h>

/* The root, what is right below it, a home, or a path that counts from the working directory: whoever names a file in there does not mean all that
 * is in it. "//" and "/./" count for nothing; links and ".." are the caller's (realpath). */
bool path_is_wide(const char *folder);
