// The check of a file that GHC asks to load, before GHC's RTS linker gets it.
//
// GHC names a static library (LoadArchive) or an object (LoadObj), and the RTS believes what is in the file. It is made
// for the output of a compiler, not for what a full disk, an aborted copy or a build with the wrong flags leaves
// behind. Its answer to those is often a crash of the interpreter, of which GHC reports "ghc-iserv terminated (-11)".
// So the file is looked over first, and what is wrong is reported with its place:
//
//   archive /x/libfoo.a, member Foo.o (offset 1234): section 7 (.text) reaches 8 bytes past the end
//
// This is a check against damage, not against malice. The RTS opens the path again, and a file can change in between.
// Whoever can plant a library in a build has its code run anyway.
#pragma once

#include <string>

#include "linker/elf_object.h"
#include "linker/file_kind.h"
#include "protocol/result.h"

namespace splicehost::linker {

// Check a file that GHC asks to load as the one or the other; the RTS has a function for each, and
// neither takes the other's file. An error names the file and, for an archive, the member and the
// offset of its header. Other files are opened only for the members of a thin archive. An archive's
// members that are no objects by their names are passed over, as the RTS does (isObject in
// rts/linker/LoadArchive.c, GHC 9.0.2 to 9.12.2).
//
// This costs little enough for every archive of every compile. Measured with
// tests/linker/object_check_bench on two cores of a virtual machine, GHC 9.0.2's libraries, warm
// page cache, in milliseconds:
//
//                                                  check   (SHA-256)
//   the 32 archives of lens's closure, 37 MB         2.6        (22)
//   all 50 with those of GHC itself, 117 MB         16.0        (74)
//   per 10 MB                                  0.7 - 1.4         (6)
//
// And it is needed: when the RTS loads an archive it goes through the symbols of each member unchecked. Later it does
// so with the relocations of those that are used.
Status checkLoadableArchive(const std::string& path);
Status checkLoadableObject(const std::string& path);

}  // namespace splicehost::linker
