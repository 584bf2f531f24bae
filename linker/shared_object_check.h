// The check of a shared object before the system's loader gets it.
//
// The loader maps a file by what its program headers say, and does not compare that with the file's size. Of one that
// was cut short, by a full disk or an aborted copy, it reads pages that are not there. The process ends by SIGBUS.
#pragma once

#include <string>

#include "protocol/result.h"

namespace splicehost::linker {

// Fails if the file is a shared object of which a part is missing. All else is the loader's to say: what is no ELF
// file, for another machine, or not there. So it is for a name without a directory, which it searches for.
Status checkSharedObject(const std::string& path);

}  // namespace splicehost::linker
