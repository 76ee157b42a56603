/** What the weights alone say about every head: norms, cosines and couplings of its feature vectors. */
package obsprop.analysis.heads;
