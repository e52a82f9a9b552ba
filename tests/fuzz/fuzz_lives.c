/* SPDX-License-Identifier: Apache-2.0 */
/* The whole gateway between two networks: a life (tests/script/life.h) whose events are the input, four octets each, the first octet the dialect of the home.
 * Its rules hold in any order of events: each text answered once, never delivered twice, in order; in the end nothing is left. */
#include "fuzz.h"
#include "../script/life.h"
#include "base/log.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum gateway_dialect dialects[] = {GATEWAY_DIALECT_SIMPLE, GATEWAY_DIALECT_LYNC, GATEWAY_DIALECT_AUTO, GATEWAY_DIALECT_CISCO};
	if (size < 5)
		return 0;
	struct life *l = life_new(true);
	l->w->house->dialect = dialects[data[0] & 3];
	size_t n = (size - 1) / 4;
	for (size_t i = 0; i < n && i < LIFE_EVENTS / 2; i++) {
		const uint8_t *p = data + 1 + 4 * i;
		/* as wide as a random life's numbers are, from one octet each */
		struct event e = {.kind = p[0] % LIFE_KINDS, .a = p[1], .b = p[2] * 65793u, .c = p[3]};
		life_event(l, &e);
	}
	life_end(l);
	life_free(l);
	return 0;
}
