/* SPDX-License-Identifier: Apache-2.0 */
#include "base/path.h"

#include <string.h>

bool path_is_wide(const char *folder)
{
	unsigned depth = 0;
	if (*folder != '/')
		return true;
	for (const char *z = folder; *z; z++)
		depth += *z == '/' && z[1] && z[1] != '/' && strncmp(z, "/./", 3) != 0 && strcmp(z, "/.") != 0;
	return depth < 2 || (depth == 2 && strncmp(folder, "/home/", 6) == 0);
}
