//! Real objects of KKP, where the folder with them is present.
