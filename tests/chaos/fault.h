/* SPDX-License-Identifier: Apache-2.0 */
/* What fault.so is told and tells, in a file that the laboratory maps too (faults.py knows the offsets: all fields are 32 bits, in order). */
#pragma once
#include <stdint.h>

struct fault {
	uint32_t write_every, write_errno; /* each n-th write into the watched directory fails so; 0: none */
	uint32_t sync_every, sync_errno;   /* the same for fsync and fdatasync */
	uint32_t alloc_after, alloc_count; /* from the n-th allocation on so many fail; counted down */
	uint32_t text_length;              /* whoever writes this text to a socket dies of SIGABRT; 0: nobody */
	/* counted */
	uint32_t writes, syncs, writes_failed, syncs_failed, allocs_failed, aborts;
	uint32_t spare[3];
	char text[64];
};
