/* SPDX-License-Identifier: Apache-2.0 */
/* Rich text made plain: what SIP clients send as text/html or text/rtf becomes a message body. Nothing of the markup survives but
 * line structure and the targets of links. Results are text, to be escaped by whoever writes them. Pure, any thread. */
#pragma once
#include "base/arena.h"

/* UTF-8 in and out; p == NULL at the arena's limit. */
struct slice interwork_html_to_text(struct arena *a, struct slice html);
/* RTF 1.x; code pages through ICU. p == NULL at the arena's limit or when it is not RTF. */
struct slice interwork_rtf_to_text(struct arena *a, struct slice rtf);
