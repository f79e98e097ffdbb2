//! Golden records of the test installation; `UPDATE_GOLDEN=1` writes them anew.
