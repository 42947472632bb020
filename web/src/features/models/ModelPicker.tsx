import { Button, Combobox, Group, Text, useCombobox } from '@mantine/core';
import { useHotkeys } from '@mantine/hooks';
import { IconAlertCircle, IconChevronDown } from '@tabler/icons-react';
import { useEffect, useState } from 'react';
import { useSharedSelector } from '../../shared/hooks';
import { ModelHints } from './ModelHints';
import styles from './Models.module.css';
import { grouped, matching } from './matching';

interface Props {
  value: string;
  opened: boolean;
  onOpened: (opened: boolean) => void;
  onChange: (model: string) => void;
}

/** Chooses among the models, grouped by provider. */
export function ModelPicker({ value, opened, onOpened, onChange }: Props) {
  const models = useSharedSelector((state) => state.models.items);
  const failed = useSharedSelector((state) => state.models.failed);
  const [query, setQuery] = useState('');
  const box = useCombobox({
    opened,
    onOpenedChange: onOpened,
    onDropdownClose: () => {
      setQuery('');
      box.resetSelectedOption();
    },
  });
  useHotkeys([['mod+shift+M', () => onOpened(true)]], []);
  // biome-ignore lint/correctness/useExhaustiveDependencies: once it has opened, whoever opened it
  useEffect(() => {
    if (!opened) return;
    const opener = document.activeElement;
    const frame = requestAnimationFrame(() => {
      box.focusSearchInput();
      box.selectActiveOption();
    });
    return () => {
      cancelAnimationFrame(frame);
      // The focus goes back to where it came from, unless it has gone elsewhere.
      const search = box.searchRef.current;
      if (document.activeElement !== search && document.activeElement !== document.body) return;
      const back = opener instanceof HTMLElement && opener !== document.body && opener.isConnected;
      if (back) opener.focus();
      else box.targetRef.current?.focus();
    };
  }, [opened]);
  const name = models.find((m) => m.id === value)?.name ?? value;
  const groups = grouped(matching(models, query));
  return (
    <Combobox
      store={box}
      width={400}
      withinPortal={false}
      position="bottom-start"
      onOptionSubmit={(model) => {
        onChange(model);
        box.closeDropdown();
      }}
    >
      <Combobox.Target withAriaAttributes={false}>
        <Button
          variant="subtle"
          color="gray"
          size="md"
          px="xs"
          className={styles.target}
          aria-haspopup="listbox"
          aria-expanded={opened}
          aria-label={`Model: ${name || 'choose one'}`}
          rightSection={<IconChevronDown size={16} />}
          onClick={() => box.toggleDropdown()}
        >
          {name || 'Choose a model'}
        </Button>
      </Combobox.Target>
      <Combobox.Dropdown className={styles.dropdown}>
        <Combobox.Search
          size="md"
          value={query}
          onChange={(e) => {
            setQuery(e.currentTarget.value);
            box.selectFirstOption();
          }}
          placeholder="Search models"
          aria-label="Search models"
        />
        <Combobox.Options className={styles.options} tabIndex={0} aria-label="Models">
          {groups.map(([provider, items]) => (
            <Combobox.Group key={provider} label={provider}>
              {items.map((m) => (
                <Combobox.Option key={m.id} value={m.id} active={m.id === value} className={styles.option}>
                  <Text size="sm" fw={m.id === value ? 700 : 500} truncate>
                    {m.name}
                  </Text>
                  <ModelHints model={m} />
                </Combobox.Option>
              ))}
            </Combobox.Group>
          ))}
          {groups.length === 0 && <Combobox.Empty>No model is called so.</Combobox.Empty>}
        </Combobox.Options>
        {failed.length > 0 && (
          <Combobox.Footer>
            {failed.map(({ provider, error }) => (
              <Group key={provider} gap={6} wrap="nowrap" align="flex-start">
                <IconAlertCircle size={16} color="var(--mantine-color-error)" style={{ flex: 'none' }} />
                <Text size="xs" style={{ overflowWrap: 'anywhere' }}>
                  <b>{provider}</b> does not list its models. {error.detail}
                </Text>
              </Group>
            ))}
          </Combobox.Footer>
        )}
      </Combobox.Dropdown>
    </Combobox>
  );
}
