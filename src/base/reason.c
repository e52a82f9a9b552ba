/* SPDX-License-Identifier: Apache-2.0 */
#include "base/reason.h"

static const struct reason_info table[REASON_COUNT] = {
#define REASON(name, id, sip, cond, type, who, text) [REASON_##name] = {id, sip, cond, type, who, text},
#include "base/reason.def"
#undef REASON
};

const struct reason_info *reason_info(enum reason r)
{
	return &table[(unsigned)r < REASON_COUNT ? r : REASON_NONE];
}
