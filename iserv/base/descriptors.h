// The descriptors that a process passes on to what it starts.
//
// GHC's interpreter has what GHC has open and not closed on exec: a job server's pipes, a process substitution, locks.
// A session gets them with its client's request, at the same numbers. Its own must not have these numbers. So an
// interpreter that is to become sessions occupies what is free below kFirstOwn.
#pragma once

#include <kj/io.h>

#include <span>
#include <vector>

#include "protocol/result.h"

namespace splicehost {

// The first number that an interpreter's own descriptors have.
constexpr int kFirstOwn = 200;

// The numbers of this process's descriptors that what it executes will have, without the standard streams; ascending.
std::vector<int> inheritable();

// Occupies all numbers from the standard streams to kFirstOwn that are free. For zygotes, before anything is opened.
void occupyLowDescriptors();

// Frees what occupyLowDescriptors() occupied in this process or a forebear, and makes each of `descriptors` available
// under the number at the same place in `numbers`. Fails if one of these is in use; `descriptors` are then unchanged.
Status takeDescriptors(std::span<const kj::AutoCloseFd> descriptors, std::span<const int> numbers);

}  // namespace splicehost
