/** How one feature vector's score follows from another's: the coupling coefficient and its prediction. */
package obsprop.analysis.coupling;
