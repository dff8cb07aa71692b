/* Which fault a build for the tests has: see PLANTED in probe.h. The real build has none, and nothing of this. */
#include "probe.h"

#ifdef FAULT
const int planted = FAULT;
#endif
