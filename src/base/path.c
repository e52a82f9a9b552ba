/* SPDX-License-Identifier: Apache-2.0 */
#include "base/path.h"

#include <string.h>

bool path_is_wide(const char *folder)
{
	unsigned depth = 0;
	bool home = false; /* does it begin so? */
	if (*folder != '/')
		return true;
	for (const char *z = folder + strspn(folder, "/"); *z; z += strspn(z, "/")) {
		size_t n = strcspn(z, "/");
		if (n != 1 || *z != '.')
			home = depth++ ? home : n == 4 && !strncmp(z, "home", 4);
		z += n;
	}
	return depth < 2 || (depth == 2 && home);
}
