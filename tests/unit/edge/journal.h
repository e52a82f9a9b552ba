/* SPDX-License-Identifier: Apache-2.0 */
/* What was logged, by any thread. With SHOW_LOG in the environment it is shown, too. */
#pragma once
#include "base/buf.h"

extern struct buf journal;

void journal_open(void);
void journal_close(void);
