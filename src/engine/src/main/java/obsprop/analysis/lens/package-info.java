/** The tokens that a vector points at. */
package obsprop.analysis.lens;
