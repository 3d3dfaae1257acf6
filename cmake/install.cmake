# Installed layout, and the same one in the build tree: bin/locki, libexec/locki/{jail,mirror,endpoint}, share/locki/recipes.
# `locki` finds its parts relative to its own file, so both work without a configured prefix.
