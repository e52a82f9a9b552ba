# SPDX-License-Identifier: Apache-2.0
"""All experiments, in the order in which they run."""
import kills        # noqa: F401
import disk         # noqa: F401
import network      # noqa: F401
import planned      # noqa: F401
import outside      # noqa: F401
import address      # noqa: F401
import inside       # noqa: F401
import speed        # noqa: F401
import unproven     # noqa: F401
import others       # noqa: F401
