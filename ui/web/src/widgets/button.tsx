import type { ComponentProps, ReactNode } from "react";
import { classes } from "../base/classes";
import styles from "./button.module.css";
import { Icon, type IconName } from "./icon";

type Look = "plain" | "primary" | "quiet";

interface Props extends Omit<ComponentProps<"button">, "type"> {
  look?: Look;
  small?: boolean;
  icon?: IconName;
  children?: ReactNode;
}

/** The classes of a button, for links that look like one. */
export const buttonClass = (look: Look = "plain", small = false): string =>
  classes(styles.button, look !== "plain" && styles[look], small && styles.small);

export function Button({ look = "plain", small = false, icon, children, className, ...rest }: Props) {
  const bare = children === undefined;
  return (
    <button
      {...rest}
      type="button"
      className={classes(buttonClass(look, small), bare && styles.icon, className)}
    >
      {icon && <Icon name={icon} size={small || !bare ? 14 : 16} />}
      {children}
    </button>
  );
}
