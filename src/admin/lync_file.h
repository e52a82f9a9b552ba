/* SPDX-License-Identifier: Apache-2.0 */
/* Reads what Lync Server's and Skype for Business Server's management shell has exported: Export-Clixml, ConvertTo-Json, Export-Csv of
 * the Get-Cs... commands. Only the form is understood here, not what the objects mean. Pure; any thread. */
#pragma once
#include <jansson.h>
#include "base/err.h"
#include "base/slice.h"

enum {
	LYNC_FILE_MAX = 16 << 20,   /* octets */
	LYNC_OBJECTS_MAX = 100000,
	LYNC_VALUE_MAX = 65536,     /* octets of one value */
	LYNC_LIST_MAX = 4096,       /* values of one list */
	LYNC_DEPTH_MAX = 64,        /* of elements */
};

/* Appends one object for each exported one: member "#type" holds the last part of its .NET type ("XmppAllowedPartner"; "" when the form
 * does not say), the others are its properties: text, true, false, integer, null, array of text. A property that the export
 * could not express (a list in CSV, an enumeration as a number in JSON) stays as it is; its reader must tell.
 * UTF-8 and UTF-16 with a byte order mark, as PowerShell writes them. 0; ENTENTE_ESYNTAX, ENTENTE_ELIMIT with err: text
 * says where; what was appended before stays. */
int lync_file_read(json_t *objects, struct slice content, struct entente_err *err);
