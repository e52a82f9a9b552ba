/* SPDX-License-Identifier: Apache-2.0 */
/* Exports of a management shell: whatever the octets are, objects or an error. */
#include <stdlib.h>
#include "admin/lync_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct entente_err err = {0};
	json_t *list = json_array(), *one;
	size_t i;
	int rc = lync_file_read(list, slice_of((const char *)data, size), &err);
	if ((rc != 0) != (err.text[0] != 0))
		abort();
	json_array_foreach(list, i, one)
		if (!json_is_string(json_object_get(one, "#type")))
			abort();
	json_decref(list);
	return 0;
}
