/** What one asks of feature vectors and of prompts: attribution, patching, search. */
package obsprop.analysis;
