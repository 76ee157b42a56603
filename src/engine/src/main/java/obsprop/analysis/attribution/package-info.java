/** Direct attribution: what each component contributes, in parts that add up. */
package obsprop.analysis.attribution;
