/* SPDX-License-Identifier: Apache-2.0 */
/* message/cpim (RFC 3862), read only: SIP clients of the RCS and SylkServer families wrap texts in it. Pure, any thread. */
#pragma once
#include "base/arena.h"
#include "interwork/mime.h"

struct cpim {
	struct slice from;          /* the URI of From, without brackets; p == NULL when absent */
	bool several_from;          /* more than one From: whom should one believe? */
	struct slice subject;       /* the first, unescaped; still to be made a line */
	struct slice subject_lang;
	struct mime_part content;
};

/* ENTENTE_ESYNTAX without an empty line after the message headers; ENTENTE_ELIMIT. */
int cpim_read(struct cpim *ret, struct arena *a, struct slice doc);
