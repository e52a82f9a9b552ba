/* SPDX-License-Identifier: Apache-2.0 */
/* bench/certificate CA-DIR DIR DOMAIN... : certificates of the lab's authority, see mint.h. */
#include <stdio.h>
#include <sys/stat.h>
#include "mint.h"

int main(int argc, char **argv)
{
	struct entente_err err = {0};
	struct mint *m = NULL;
	int rc = argc < 4 ? err_set(&err, ENTENTE_EINVAL, REASON_NONE, "usage: certificate CA-DIR DIR DOMAIN...")
			  : mint_open(&m, argv[1], &err);
	if (!rc)
		mkdir(argv[2], 0700);
	for (int i = 3; i < argc && !rc; i++)
		rc = mint_make(m, argv[2], argv[i], &err);
	if (rc)
		fprintf(stderr, "certificate: %s\n", err.text);
	mint_close(m);
	return rc ? 1 : 0;
}
