// Memory at addresses that the client chooses (`arenaAddress` in the protocol). So it can hand out addresses before it
// has an interpreter.
#pragma once

#include "protocol/ghc_binary.h"
#include "protocol/result.h"

namespace splicehost {

// Reserves the addresses; once in a process, before anything else can take them. What is not used costs
// no memory. If they are taken nevertheless, placeInArena() will say so.
void reserveArena();

// Copies bytes to an address of the arena. Fails if they don't fit into it.
Status placeInArena(uint64_t address, ghc::Bytes bytes);

}  // namespace splicehost
