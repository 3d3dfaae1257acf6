// A unit test program is made of its own folder's files; this brings the fake in.
#include "support/fake_qmp.cc"
